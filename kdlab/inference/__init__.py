"""Runs artifacts in engines, and measures them. Needs numpy and the engine alone: a bundle carries this folder.

Nothing here imports kdlab or torch, but for the engines that are torch themselves. It runs in Python 3.9 too, which
boards have: hence `from __future__ import annotations`, and no `zip(…, strict=True)`.
"""

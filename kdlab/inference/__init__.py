"""Runs artifacts in engines, and measures them. Needs numpy and the engine alone: a bundle carries this folder.

Nothing here imports kdlab or torch, but for the engines that are torch themselves.
"""

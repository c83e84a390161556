"""Large numbers, abbreviated."""

PREFIXES = ("", " k", " M", " G", " T")


def scaled(number: float) -> str:
    """Three significant digits and a prefix, such as `11.2 M`."""
    prefix = 0
    while abs(number) >= 999.5 and prefix < len(PREFIXES) - 1:
        number, prefix = number / 1000, prefix + 1
    return f"{number:.3g}{PREFIXES[prefix]}"

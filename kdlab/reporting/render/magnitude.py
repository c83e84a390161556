"""Large numbers and durations, abbreviated."""

PREFIXES = ("", " k", " M", " G", " T")


def scaled(number: float) -> str:
    """Three significant digits and a prefix, such as `11.2 M`."""
    prefix = 0
    while abs(number) >= 999.5 and prefix < len(PREFIXES) - 1:
        number, prefix = number / 1000, prefix + 1
    return f"{number:.3g}{PREFIXES[prefix]}"


def duration(seconds: float) -> str:
    """Such as `45 s`, `12 min` or `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

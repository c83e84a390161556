"""Two numeric settings against each other as a W&B chart: a heat map that wandb's own presets do not have."""

import logging
from typing import Any

from kdlab.errors import first_line

log = logging.getLogger(__name__)

HEAT_MAP = "kdlab-heat-map-v1"  # its name in an entity; another content takes another number
VALUE = {"aggregate": "mean", "field": "${field:value}", "type": "quantitative"}
AXES = {
    "x": {"field": "${field:x}", "type": "ordinal", "title": "${string:x}", "axis": {"labelAngle": 0}},
    "y": {"field": "${field:y}", "type": "ordinal", "title": "${string:y}", "sort": "descending"},
}
LIGHT, DARK = "#eaf2fb", "#5b95d6"  # black figures are legible on both
COLOUR = {**VALUE, "title": "${string:value}", "scale": {"range": [LIGHT, DARK], "zero": False}}
SPECIFICATION: dict[str, Any] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "title": "${string:title}",
    "data": {"name": "wandb"},
    "encoding": AXES,
    "layer": [
        {"mark": {"type": "rect", "tooltip": True}, "encoding": {"color": COLOUR}},
        {"mark": {"type": "text", "fontSize": 13}, "encoding": {"text": {**VALUE, "format": ".2f"}}},
    ],
}


def heat_map_chart(entity: str) -> str:
    """The address of the chart of an entity, where it is created unless it is there.

    Args:
        entity: that owns the report.
    """
    import wandb

    named = {"name": HEAT_MAP, "display_name": "kdlab: heat map of two settings"}
    try:
        chart: str = wandb.Api().create_custom_chart(
            entity, **named, spec_type="vega2", access="private", spec=SPECIFICATION
        )
    except Exception as error:  # it is there already, or may not be made: the report has the same figures in a table
        log.info("Weights & Biases does not create %s in %s: %s", HEAT_MAP, entity, first_line(error))
        return f"{entity}/{HEAT_MAP}"
    return chart

"""What an export says beside its teacher."""

import pytest

from kdlab.reporting.render.export_lines import recommendation
from tests.reporting.made_up_export import content


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (90.0, "10.0× smaller, at -5.00 points of test accuracy."),
        (96.25, "10.0× smaller, at +1.25 points of test accuracy."),
        (94.999, "10.0× smaller, at the same test accuracy."),
        (95.001, "10.0× smaller, at the same test accuracy."),
    ],
)
def test_the_recommended_file_is_compared_with_the_teacher(accuracy, said):
    exported = content({("net.onnx", "onnxruntime"): 1.0}, accuracy=accuracy)
    assert recommendation(exported)[-1] == f"Beside the teacher large in PyTorch it is {said}"

"""The reference lists the fields that an export has."""

from tests.pages import PAGES
from tests.test_docs import first_cells


def test_every_field_of_the_result_has_a_row(export):
    """`budgets` is there where budgets are."""
    listed = first_cells(PAGES["docs/reference.md"], "## Fields of an export")
    assert set(listed) == {*export.content, "budgets"}
    assert len(listed) == len(set(listed))

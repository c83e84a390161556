import io
import logging

from kdlab.runtime.logs import LIBRARIES, quiet_libraries


def test_libraries_report_to_the_root_logger_within_and_as_before_after_it(caplog):
    library = logging.getLogger("lightning.pytorch")
    own = logging.StreamHandler(io.StringIO())
    before = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate) for name in LIBRARIES}
    library.addHandler(own)
    library.propagate = False
    try:
        with quiet_libraries():
            library.info("GPU available: False")
            library.warning("within")
        library.warning("after")
        assert caplog.messages == ["within"]
        assert own.stream.getvalue() == "after\n"
    finally:
        library.removeHandler(own)
        library.propagate = before["lightning.pytorch"][1]
    assert before == {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in LIBRARIES}

"""`arm --threads`, from the command line to a real process and back."""

from __future__ import annotations

import pytest

from acceptance_helpers import arming, dormant
from ctl import environment
from processes import TARGETS, python_process, wait_for


@pytest.mark.parametrize("threads", [True, False])
def test_threads_of_a_real_process(threads: bool, tmp_path, runtime_dir) -> None:
    env = environment(TRACEPATCH_STORE=str(tmp_path / "store.db"))
    with python_process(TARGETS / "branches_app.py") as app:
        app.expect("up")
        with arming(app, "__main__:served", *(["--threads"] if threads else []), env=env) as running:
            app.tell("7")
            assert app.expect("served") == "served 7 in pool_0"
            assert running.wait() == 0, running.stderr
            text = "\n".join(running.lines)
        assert ("⑂ thread 'worker'" in text) == threads
        assert ("⑂ thread 'pool_0'" in text) == threads
        assert text.count("__main__.work(number=7)") == 2 * threads
        assert "clean" in running.stderr
        wait_for(lambda: dormant(app.pid, env=env))
        app.tell("8")
        assert app.expect("served") == "served 8 in pool_0"

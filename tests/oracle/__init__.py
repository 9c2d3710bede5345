"""Random programs whose call trees are known by construction, compared with what tracepatch records of them.

    grammar ──▶ program (plain data) ──▶ source ──▶ run ──┬──▶ log ──▶ reference ──┐
                                                          └──▶ product's traces ───┴──▶ compare

Every call of a program gets a number from its caller, which is also its first argument, and writes to a log who called
it. So the reference needs no stack, no context and no frame to know the tree, and shares nothing with the recorder.
"""

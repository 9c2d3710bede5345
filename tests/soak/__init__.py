"""The soak: a busy process, armed and disarmed at random by a real controller, and every node of every trace looked at.

    make soak MINUTES=10

`process` runs 200 tasks of `app`, `driver` arms it, `check` knows what each tree must look like, `gauge` watches the
process from outside.
"""

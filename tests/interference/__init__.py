"""CPython's own tests with every test method traced (`make cpython-suites`)."""

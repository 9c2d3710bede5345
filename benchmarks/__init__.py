"""What tracing costs, beside its peers: `python -m benchmarks`, or `make bench` for every CPython found.

**Method.** All contenders run in one process and take turns, so that what drifts on the machine meets all of them. Times
are CPU times of the thread (of the process, where a program uses others), so that a busy machine costs rounds and no
truth. The garbage collector stays on: what recording makes it do is part of the cost. A figure is the median over the
rounds, a ratio the median of the rounds' own ratios. Only ratios travel.

**Dormant and waiting** are differences of less than a percent: they are measured as many short pairs, with and without,
in alternating order (`quiet`). The row `bare again` compares nothing with nothing: it is what this machine can resolve.

**Capture depth.** VizTracer writes the `repr` of each value: containers whole, objects without a `__repr__` by their
type alone. Our depth of 2 shows the attributes of objects, too. The row `same depth` therefore uses, program by
program, the least depth at which nothing is missing that VizTracer shows (`Program.depth`): 0 where scalars and
objects are passed, 1 for flat lists, 2 for a list of dicts. No depth does that for a web request, whose arguments are
everything at once: the row is missing there.
"""

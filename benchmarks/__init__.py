"""matfac side by side with its peers: the same data, the same threads, in one run.

    python -m benchmarks SUITE [--scale 0.1] [--threads 2] [--json FILE] [--plot FOLDER]

``python -m benchmarks --help`` lists the suites and the options. Peers come with ``pip install
--group bench``; those that are missing are listed as skipped, by name. LIBMF is a program of its
own: build its ``mf-train`` with ``-DUSEAVX -mavx2 -O3 -march=native`` and name it with ``--libmf``.

How it is done
--------------
- Ratings are generated once in the shape of MovieLens 20M (`data`), or scaled down with that shape
  and density kept, and split 90/10. They lie in a folder that all contenders read.
- Each contender runs in a process of its own (`worker`), with its environment set before anything
  is imported: so many threads, bound to so many processors, and no runtime disturbs another.
- Contenders take turns: a repetition of each, then the next repetition (`session`). What counts is
  the median. A contender that has used its share of time (``--budget``) is not repeated further.
- Peers get the ratings in their own preferred format before the clock starts, in float32. A sweep
  or an epoch is timed without what comes before and after it.
- Memory is the peak of the process beyond what it held before the work.
- The rates of the machine, of a matrix product and of copying, are measured in the same run, and
  each of our kernels is given as a share of them (`machine`).

Where things are
----------------
``suites/`` says what is compared and which ratio is wanted (`targets`), ``contenders/`` has a file
a library, `report` and `plots` show the results. A new suite is a file in ``suites/`` and a line in
its ``__init__``; a new contender is a decorated function in ``contenders/``.
"""

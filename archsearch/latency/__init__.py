"""Latency on the target device, measured so that two people get the same number, or are told that they cannot.

    settings.py     what a study may say about measuring (torch-free)
    precision.py    in which numbers a network is run
    runner.py       a network made ready to be timed: called, waited for, and nothing else
    protocol.py     the one measuring procedure: warm-up, visits spread over time, interleaved bursts, halves that agree
    group.py        networks ready to run together, here or elsewhere: warm-up, and one visit a call
    samples.py      the raw runs of one measurement, what is computed from them, and its interval
    remeasure.py    which measurements are made again, and which of two is kept
    lease.py        who may use a device now: training in chunks, or one measurement
    backends/       one file a way of running a network
    fingerprint.py  what a latency belongs to: device, driver, libraries, threads
    gpu.py          what an NVIDIA GPU tells of its state and its processes
    watch.py        who else used the device meanwhile
    prepare.py      networks made ready, and the reference that many are measured against; what exporting changes
    network.py      all of it together: modules in, a `records.Latency` for each out; the memory witness, a copy timed
                    in every visit, which tells when others use the memory

Nothing here imports torch until a network is prepared or a device is asked about.
"""

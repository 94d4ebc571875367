"""Latency on the target device, measured so that two people get the same number, or are told that they cannot.

    settings.py     what a study may say about measuring (torch-free)
    runner.py       a network made ready to be timed: called, waited for, and nothing else
    protocol.py     the one measuring procedure: warm-up, visits spread over time, interleaved bursts, halves that agree
    warmup.py       runs that are not counted, until successive windows agree
    samples.py      the raw runs of one measurement, and what is computed from them
    lease.py        who may use a device now: training in chunks, or one measurement
    backends/       one file a way of running a network
    fingerprint.py  what a latency belongs to: device, driver, libraries, threads
    network.py      all of it together: a module in, a `records.Latency` out

Nothing here imports torch until a network is prepared or a device is asked about.
"""

"""How much is measured. `bench.py --short` puts smaller numbers in its place."""

FAN, SHELLS, SHORT_CHAIN, LONG_CHAIN = 200, 500, 40, 10

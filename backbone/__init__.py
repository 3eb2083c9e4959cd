"""What every service stands on. It knows no pizza and imports nothing of ours."""

import gc

# From the first import on, because loading a service makes a hundred thousand objects that stay, and later every batch
# makes thousands that go without the collector's help: looking through them after each 700 took a tenth of the time.
# Here on purpose, though it concerns the whole process: nowhere else is early enough.
gc.set_threshold(20_000, 20, 20)

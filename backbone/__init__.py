"""Carries every service. It knows no pizza and imports nothing of ours."""

import gc

# Loading a service makes two hundred thousand objects that stay. Looking through them for garbage again and again is a
# twentieth of a process's start and finds none; once it runs, it sets a limit that fits (see `process.py`).
# Here on purpose, though it concerns the whole process: nowhere else is early enough.
gc.set_threshold(500_000, 20, 20)

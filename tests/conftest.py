from hypothesis import settings

# A machine that runs several suites at once is slow at random: how long a case takes is no law.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

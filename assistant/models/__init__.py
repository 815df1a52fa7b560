"""Models: which there are, which one this machine should run, and how its files get here whole and unharmed."""

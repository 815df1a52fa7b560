"""The fine-tune that produces the model: `python -m training`."""

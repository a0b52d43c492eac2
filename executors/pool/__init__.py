"""What executors have to give and who holds it: places, slots, API keys."""

"""What the training of every method needs: schedules, parameter groups, and a guard against non-finite numbers."""

"""The step form, one step at a time, against a loop of cells; one lane for each framework."""

"""A public suite of small cases that shows which tools compute recurrent networks right."""

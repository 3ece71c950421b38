"""The business itself, pure: states, rules, scoring, events and errors. Imports the standard library alone."""

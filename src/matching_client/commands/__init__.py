"""What `matching` does, a module per group of commands; `cli` puts them together.

`command` makes a command of a function and gives it the options that all have in common; `call` is what it
then works with: the client, and where the answer goes. `views` says what is shown of a message, `output`
prints it, `failures` says how a call ended.
"""

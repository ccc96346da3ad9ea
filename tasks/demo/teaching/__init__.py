"""How the teacher in `tasks/demo/teacher` is trained: `python -m tasks.demo.teaching`."""

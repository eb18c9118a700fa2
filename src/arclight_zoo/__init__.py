"""Models, tasks and data that ship with Arclight, built with the names that the engine exports."""

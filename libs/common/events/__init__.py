"""The events of the log: `facts` seen outside, `tasks` asked for and ended, their `envelope`."""

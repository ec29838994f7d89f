"""The only writer to GitLab: turns the ends of tasks into discussions and notes, once each."""

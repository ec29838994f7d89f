"""`gca doctor`: looks at everything a review needs and says how to mend what is not."""

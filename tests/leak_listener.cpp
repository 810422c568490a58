// Fails a test case that leaves something behind.

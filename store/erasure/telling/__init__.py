"""What Kafka and its readers are told, and whether it was taken: fences, notices, outcomes, lanes, acknowledgements."""

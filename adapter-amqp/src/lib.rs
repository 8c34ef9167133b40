//! Carries cluster messages over RabbitMQ.

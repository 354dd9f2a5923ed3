//! MQTT: clients, sessions, subscriptions, retained messages.

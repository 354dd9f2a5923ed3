//! The live plant: last value of every tag, bounded subscriptions, the command lane.

//! Who may do what where: users, roles, tokens, certificates, the audit chain.

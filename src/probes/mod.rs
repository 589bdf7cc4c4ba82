//! Looking at servers and the machine; nothing here decides.

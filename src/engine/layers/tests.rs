//! Products with LoRAs beside them and with weights in 8 bits.

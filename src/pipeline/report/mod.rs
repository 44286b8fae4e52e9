//! Pictures and videos for people to look at: the contact sheet, and the guide and mask as the model sees them.

pub mod contact_sheet;
pub mod guide;

//! The plan's choices of two words each, the same on the command line and in plan.json.

use crate::pipeline::words::words;

words! {
    Mode {
        /// The frames made stand between the clips.
        Insert = "insert",
        /// They take the place of as many of the clips' own.
        Replace = "replace",
    }
}

words! {
    Align {
        /// Rounded so that no latent is half known.
        Latent = "latent",
        /// As asked, but for the 0 to 3 frames that the gap is shortened by.
        Exact = "exact",
    }
}

words! {
    /// When a latent is kept.
    MaskRule {
        /// When all its frames are known.
        Exact = "exact",
        /// When the one frame that nearest sampling along time picks is known, as the reference does.
        Reference = "reference",
        /// Frame by frame, as image-to-video models have it: they start from a clip's end and meet one frame of the next.
        Frames = "frames",
    }
}

words! {
    /// What becomes of a latent.
    Mask {
        Keep = "keep",
        Generate = "generate",
        /// Some of its frames are kept, which only the rule `frames` can say.
        Partly = "partly",
    }
}

//! Whether a device holds the work, and what of the transformer stays on it.

use tch::Kind;
use wanctl::pipeline::{
    job::{Dtype, Offload, Part, Trouble},
    memory::{self, Need, Sizes, Work},
};

use super::{
    Task,
    dit::Keep,
    session::{Session, refused},
};
use crate::engine::torch;

impl Session<'_, '_> {
    /// What of the transformer can stay on the device.
    pub(super) fn room(&self) -> Result<Keep, Trouble> {
        let sizes = Sizes::of(self.models).map_err(refused)?;
        let device = torch::name(self.device);
        let beside = self.numbers_beside()?;
        let works = self.tasks.iter().map(|task| self.work(task, beside));
        let (has, share) = (torch::memory(self.device), |bytes: u64| bytes / self.share as u64);
        match self.device.is_cuda() {
            true => keep(&sizes, works, &device, has, memory::host().map(share)),
            false => keep(&sizes, works, &device, has.map(share), None),
        }
    }

    fn work(&self, Task { wan, head, references, .. }: &Task<'_>, beside: u64) -> Work {
        let dtype = match self.kind {
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::Bf16,
            _ => Dtype::F32,
        };
        Work {
            size: head.size,
            frames: head.slots.len(),
            references: *references,
            dtype,
            packed: wan.dtype == Dtype::Fp8,
            beside,
            offload: wan.offload,
            ahead: self.device.is_cuda(),
            vae_tile: wan.vae_tile,
        }
    }
}

/// What of the transformer can stay on a device that has so many bytes, where that is known; all of it if that is enough
/// for every seam, else what the host has room for (beside a GPU; `None` on the CPU). Work that cannot be done there is
/// refused.
fn keep(
    sizes: &Sizes,
    works: impl Iterator<Item = Work>,
    device: &str,
    has: Option<u64>,
    host: Option<u64>,
) -> Result<Keep, Trouble> {
    let mut keep = Keep::All;
    for work in works {
        let has = has.unwrap_or(u64::MAX);
        memory::refuse(sizes, &work, device, has).map_err(refused)?;
        let fits = |need: &Need| need.part != Part::Denoise || need.whole <= has;
        if work.offload == Offload::Blocks || !sizes.needs(&work).iter().all(fits) {
            // Some of the host's memory is the system's and other programs'.
            let room = host.is_some_and(|host| sizes.blocks(&work) <= host / 4 * 3);
            keep = if room { Keep::Host } else { Keep::One };
        }
    }
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use wanctl::pipeline::{
        checkpoint::{ModelFiles, Wanted},
        job::{TroubleCode, VaeTile},
        video::Size,
    };

    use super::*;

    #[test]
    fn layers_leave_the_device_only_where_they_do_not_all_fit_and_what_never_fits_is_refused() {
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
        let models = ModelFiles::find(&[Wanted { role: None, path: tiny.into() }]).unwrap();
        let sizes = Sizes::of(&models).unwrap();
        let work = Work {
            size: Size::new(48, 32),
            frames: 13,
            references: 0,
            dtype: Dtype::F32,
            packed: false,
            beside: 0,
            offload: Offload::Auto,
            ahead: false,
            vae_tile: VaeTile::Auto,
        };
        let need = sizes.needs(&work).into_iter().find(|need| need.part == Part::Denoise).unwrap();
        assert!(need.least < need.whole, "{need:?}");
        let of = |offload, has| keep(&sizes, [Work { offload, ..work }].into_iter(), "cpu", has, None);
        let keeps = |offload, has| of(offload, has).map_err(|trouble| (trouble.code, trouble.message));
        // The other parts need more than this one.
        let enough = sizes.needs(&work).iter().map(|need| need.whole).max();
        assert_eq!(keeps(Offload::Auto, None), Ok(Keep::All));
        assert_eq!(keeps(Offload::Auto, enough), Ok(Keep::All));
        assert_eq!(keeps(Offload::Blocks, enough), Ok(Keep::One));
        let beside_gpu = |host| {
            let work = Work { offload: Offload::Blocks, ahead: true, ..work };
            keep(&sizes, [work].into_iter(), "cuda:0", enough, Some(host)).ok()
        };
        let blocks = sizes.blocks(&work);
        assert_eq!(beside_gpu(blocks), Some(Keep::One), "the host has none to spare");
        assert_eq!(beside_gpu(2 * blocks), Some(Keep::Host));
        let (code, message) = keeps(Offload::Auto, Some(1000)).unwrap_err();
        assert_eq!(code, TroubleCode::Memory);
        assert!(
            message.contains("13 frames of 48x32 takes at least 0.0 GB of memory, and cpu has 0.0 GB"),
            "{message}"
        );
    }
}

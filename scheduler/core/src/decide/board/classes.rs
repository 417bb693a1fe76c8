//! Classes of work: everything that asks alike and may go to the same places has one number.
//!
//! What a class may use is found by asking the rules about an empty node of each kind and an empty
//! GPU of each device, so every rule counts here without being named.

use super::super::{Ask, pack, rule};
use crate::{
    packing::{Demand, Gpus, Take},
    policy::Policy,
    view::{GpuView, NodeView},
};
use dovetail_model::{
    id::{Tenant, WorkloadId},
    label::{Labels, Toleration},
    resources::{GpuAmount, Resources},
    units::{Bytes, CpuMilli},
    workload::WorkloadSpec,
};
use std::collections::BTreeMap;

/// Most classes that are known: where every request differs from all others, old ones make room.
const CLASSES_MAX: usize = 8192;

/// The number of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct ClassId(pub(super) u32);

/// Everything of a request that tells classes apart.
type Key<'a> = (u32, &'a Resources, &'a Labels, &'a [Toleration]);

/// The same but for memory.
type Shape = (u32, Resources, Labels, Vec<Toleration>);

/// Every class by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes {
    classes: Vec<Class>,
    /// Every class, by what tells them apart.
    order: Vec<ClassId>,
    /// By class: the number of its shape.
    shape_of: Vec<usize>,
    /// Classes that differ in memory alone are of one shape.
    shapes: BTreeMap<Shape, usize>,
}

/// What members take, and who stands for them before the rules.
#[derive(Debug, Clone)]
pub(super) struct Class {
    tenant: Tenant,
    spec: WorkloadSpec,
    demand: Demand,
}

impl Classes {
    /// Forgets every class if there are too many. True: numbers that were given mean nothing now.
    pub(super) fn forget_if_many(&mut self) -> bool {
        let many = self.classes.len() >= CLASSES_MAX;
        if many {
            *self = Self::default();
        }
        many
    }

    /// What members take, by class.
    pub(super) fn demands(&self) -> impl Iterator<Item = &Demand> {
        self.classes.iter().map(|class| &class.demand)
    }

    pub(super) fn demand(&self, class: ClassId) -> &Demand {
        &self.classes[class.0 as usize].demand
    }

    /// How many shapes there are.
    pub(super) fn shapes(&self) -> usize {
        self.shapes.len()
    }

    /// The shape of a class, below `shapes`.
    pub(super) fn shape(&self, class: ClassId) -> usize {
        self.shape_of[class.0 as usize]
    }

    /// The class of such a request, if anything alike was asked for before.
    pub(super) fn find(&self, tenant: u32, spec: &WorkloadSpec) -> Option<ClassId> {
        let place = self.place_of(key(tenant, spec)).ok()?;
        Some(self.order[place])
    }

    /// Numbers a class that has none.
    pub(super) fn add(&mut self, class: Class) -> ClassId {
        let number = self.classes.len();
        let number = ClassId(u32::try_from(number).expect("`forget_if_many` keeps them few"));
        let wanted = key(class.demand.tenant, &class.spec);
        let (Ok(place) | Err(place)) = self.place_of(wanted);
        self.order.insert(place, number);
        let (shape, next) = (class.shape(), self.shapes.len());
        self.shape_of
            .push(*self.shapes.entry(shape).or_insert(next));
        self.classes.push(class);
        number
    }

    /// There is a device that was not known before.
    pub(super) fn learn_device(&mut self, empty: &GpuView, policy: &Policy) {
        let classes = self.classes.iter_mut();
        classes.for_each(|class| class.learn_device(empty, policy));
    }

    /// There is a kind of node that was not known before.
    pub(super) fn learn_kind(&mut self, empty: &NodeView, policy: &Policy) {
        let classes = self.classes.iter_mut();
        classes.for_each(|class| class.learn_kind(empty, policy));
    }

    /// Where a class stands in the order, or would stand.
    fn place_of(&self, wanted: Key<'_>) -> Result<usize, usize> {
        self.order.binary_search_by(|number| {
            let class = &self.classes[number.0 as usize];
            key(class.demand.tenant, &class.spec).cmp(&wanted)
        })
    }
}

impl Class {
    /// The class of a request, which knows no device and no kind of node yet.
    pub(super) fn new(ask: &Ask<'_>, tenant: u32) -> Self {
        let gpus = match ask.resources().gpu.as_ref().map(|gpu| gpu.amount) {
            None => Gpus::None,
            Some(GpuAmount::Share(_)) => Gpus::Share,
            Some(GpuAmount::Whole { count }) => Gpus::Whole(count),
        };
        Self {
            tenant: ask.tenant.clone(),
            spec: bare(ask.spec),
            demand: Demand {
                cpu: ask.resources().cpu,
                memory: ask.resources().memory,
                tenant,
                gpus,
                takes: Vec::new(),
                kinds: Vec::new(),
            },
        }
    }

    pub(super) fn into_demand(self) -> Demand {
        self.demand
    }

    fn shape(&self) -> Shape {
        let resources = Resources {
            memory: Bytes::ZERO,
            cpu_limit: CpuMilli::ZERO,
            ..self.spec.resources.clone()
        };
        let (selector, tolerations) = (&self.spec.node_selector, &self.spec.tolerations);
        let tenant = self.demand.tenant;
        (tenant, resources, selector.clone(), tolerations.clone())
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            workload: WorkloadId(0),
            attempt: 1,
            tenant: &self.tenant,
            spec: &self.spec,
        }
    }

    pub(super) fn learn_device(&mut self, empty: &GpuView, policy: &Policy) {
        let ask = self.ask();
        let request = ask.resources().gpu.as_ref();
        let take = request.and_then(|request| {
            let refused = rule::gpu_refusal(empty, request, &ask, policy);
            let grant = pack::grant(empty, &ask);
            refused.is_none().then_some(Take {
                compute: grant.compute,
                memory: grant.memory,
            })
        });
        self.demand.takes.push(take);
    }

    pub(super) fn learn_kind(&mut self, empty: &NodeView, policy: &Policy) {
        let takes = rule::refusal(empty, &self.ask(), policy).is_none();
        self.demand.kinds.push(takes);
    }
}

fn key(tenant: u32, spec: &WorkloadSpec) -> Key<'_> {
    (
        tenant,
        &spec.resources,
        &spec.node_selector,
        &spec.tolerations,
    )
}

/// The request without what no rule looks at.
fn bare(spec: &WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec {
        argv: Vec::new(),
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
        ..spec.clone()
    }
}

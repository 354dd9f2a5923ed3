//! Orders: what is to be made, where, when and out of what (`B2MML-OperationsSchedule.xsd`).

use crate::code::{AssemblyRelationship, AssemblyType, EquipmentLevel, MaterialUse, OperationsType, RequestState};
use crate::content::{One, OneOrMore};
use crate::number::Priority;
use crate::time::{DateTime, Duration};
use crate::value::{HierarchyScope, Location, Parameter, Quantity};
use crate::word::{Code, Identifier, Text};

sequence! {
    /// A schedule: requests that belong together.
    pub struct OperationsSchedule = "OperationsScheduleType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// When it begins.
        start_time: Option<DateTime> = "StartTime",
        /// When it ends.
        end_time: Option<DateTime> = "EndTime",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// The category of its requests.
        operations_type: Option<OperationsType> = "OperationsType",
        /// Its state.
        schedule_state: Option<RequestState> = "ScheduleState",
        /// Its requests.
        requests: OneOrMore<OperationsRequest> = "OperationsRequest",
    }

    /// An order.
    pub struct OperationsRequest = "OperationsRequestType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it is to begin.
        start_time: Option<DateTime> = "StartTime",
        /// When it is to be done.
        end_time: Option<DateTime> = "EndTime",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Its category.
        operations_type: Option<OperationsType> = "OperationsType",
        /// Its priority.
        priority: Option<Priority> = "Priority",
        /// Its state.
        request_state: Option<RequestState> = "RequestState",
        /// How it is made.
        operations_definition_id: Option<Identifier> = "OperationsDefinitionID",
        /// The segment of the definition, if it is about one.
        operations_segment_id: Option<Identifier> = "OperationsSegmentID",
        /// Its steps.
        segment_requirements: OneOrMore<SegmentRequirement> = "SegmentRequirement",
    }

    /// A step of an order.
    pub struct SegmentRequirement = "OpSegmentRequirementType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it may begin.
        earliest_start_time: Option<DateTime> = "EarliestStartTime",
        /// When it is to be done.
        latest_end_time: Option<DateTime> = "LatestEndTime",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Its category.
        operations_type: Option<OperationsType> = "OperationsType",
        /// The process segment; the edition requires it.
        process_segment_id: One<Identifier> = "ProcessSegmentID",
        /// How long it takes.
        duration: Option<Duration> = "Duration",
        /// How it is made; the edition requires it.
        operations_definition_id: One<Identifier> = "OperationsDefinitionID",
        /// The segment of that definition; the edition requires it.
        operations_segment_id: One<Identifier> = "OperationsSegmentID",
        /// Its state.
        segment_state: Option<RequestState> = "SegmentState",
        /// What it is run with.
        parameters: Vec<Parameter> = "SegmentParameter",
        /// Who is needed.
        personnel: Vec<PersonnelRequirement> = "PersonnelRequirement",
        /// Which equipment is needed.
        equipment: Vec<EquipmentRequirement> = "EquipmentRequirement",
        /// What it takes and what it makes.
        materials: Vec<MaterialRequirement> = "MaterialRequirement",
        /// Steps within it.
        children: Vec<SegmentRequirement> = "SegmentRequirementChild",
    }

    /// People that a step needs.
    pub struct PersonnelRequirement = "OpPersonnelRequirementType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// People of these classes.
        personnel_class_ids: Vec<Identifier> = "PersonnelClassID",
        /// These people.
        person_ids: Vec<Identifier> = "PersonID",
        /// For people.
        description: Vec<Text> = "Description",
        /// What for.
        personnel_use: Option<Code> = "PersonnelUse",
        /// How many, or how long.
        quantities: Vec<Quantity> = "Quantity",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
    }

    /// Equipment that a step needs.
    pub struct EquipmentRequirement = "OpEquipmentRequirementType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Equipment of these classes.
        equipment_class_ids: Vec<Identifier> = "EquipmentClassID",
        /// This equipment.
        equipment_ids: Vec<Identifier> = "EquipmentID",
        /// Equipment of this level.
        equipment_level: Option<EquipmentLevel> = "EquipmentLevel",
        /// For people.
        description: Vec<Text> = "Description",
        /// What for.
        equipment_use: Option<Code> = "EquipmentUse",
        /// How much of it, or how long.
        quantities: Vec<Quantity> = "Quantity",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
    }

    /// Material that a step takes or makes.
    pub struct MaterialRequirement = "OpMaterialRequirementType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Material of these classes.
        material_class_ids: Vec<Identifier> = "MaterialClassID",
        /// These materials.
        material_definition_ids: Vec<Identifier> = "MaterialDefinitionID",
        /// From these lots.
        material_lot_ids: Vec<Identifier> = "MaterialLotID",
        /// From these parts of lots.
        material_sub_lot_ids: Vec<Identifier> = "MaterialSubLotID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Whether it is taken or made.
        material_use: Option<MaterialUse> = "MaterialUse",
        /// Where it is kept.
        storage_location: Option<Location> = "StorageLocation",
        /// How much.
        quantities: Vec<Quantity> = "Quantity",
        /// What it is put together of.
        assembly: Vec<MaterialRequirement> = "AssemblyRequirement",
        /// Whether those are joined.
        assembly_type: Option<AssemblyType> = "AssemblyType",
        /// Whether they are to be taken apart again.
        assembly_relationship: Option<AssemblyRelationship> = "AssemblyRelationship",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
    }
}

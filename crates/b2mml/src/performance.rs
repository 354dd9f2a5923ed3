//! What was made, where, when, out of what and by whom (`B2MML-OperationsPerformance.xsd`, `B2MML-OperationsPerformanceTypes.xsd`).

use crate::code::{AssemblyRelationship, AssemblyType, MaterialUse, OperationsType, ResponseState};
use crate::content::{One, OneOrMore};
use crate::time::DateTime;
use crate::value::{HierarchyScope, Location, Quantity, Value};
use crate::word::{Code, Identifier, Text};

sequence! {
    /// A report: responses that belong together.
    pub struct OperationsPerformance = "OperationsPerformanceType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// When what it reports began.
        start_time: Option<DateTime> = "StartTime",
        /// When it ended. `Endtime` is how the edition spells it here, and here alone.
        end_time: Option<DateTime> = "Endtime",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// The category of its responses.
        operations_type: Option<OperationsType> = "OperationsType",
        /// The schedule that it answers.
        operations_schedule_id: Option<Identifier> = "OperationsScheduleID",
        /// Its state.
        performance_state: Option<ResponseState> = "PerformanceState",
        /// Its responses.
        responses: OneOrMore<OperationsResponse> = "OperationsResponse",
    }

    /// What became of an order.
    pub struct OperationsResponse = "OperationsResponseType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it began.
        start_time: Option<DateTime> = "StartTime",
        /// When it ended.
        end_time: Option<DateTime> = "EndTime",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Its category.
        operations_type: Option<OperationsType> = "OperationsType",
        /// The orders that it answers.
        operations_request_ids: Vec<Identifier> = "OperationsRequestID",
        /// The steps that it answers.
        segment_requirement_ids: Vec<Identifier> = "SegmentRequirementID",
        /// How it was made.
        operations_definition_ids: Vec<Identifier> = "OperationsDefinitionID",
        /// The segments of that definition.
        operations_segment_ids: Vec<Identifier> = "OperationsSegmentID",
        /// Its state.
        response_state: Option<ResponseState> = "ResponseState",
        /// Its steps.
        segment_responses: OneOrMore<SegmentResponse> = "SegmentResponse",
    }

    /// What became of a step.
    pub struct SegmentResponse = "OpSegmentResponseType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// When it is to be posted.
        posting_date: Option<DateTime> = "PostingDate",
        /// When it began.
        actual_start_time: Option<DateTime> = "ActualStartTime",
        /// When it ended.
        actual_end_time: Option<DateTime> = "ActualEndTime",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Its category.
        operations_type: Option<OperationsType> = "OperationsType",
        /// The process segments.
        process_segment_ids: Vec<Identifier> = "ProcessSegmentID",
        /// The orders that it answers.
        operations_request_ids: Vec<Identifier> = "OperationsRequestID",
        /// The steps that it answers.
        segment_requirement_ids: Vec<Identifier> = "SegmentRequirementID",
        /// How it was made.
        operations_definition_ids: Vec<Identifier> = "OperationsDefinitionID",
        /// The segments of that definition.
        operations_segment_ids: Vec<Identifier> = "OperationsSegmentID",
        /// The job orders' reports that it rests on.
        job_response_ids: Vec<Identifier> = "JobResponseID",
        /// Its state.
        segment_state: Option<ResponseState> = "SegmentState",
        /// What was measured or noted.
        data: Vec<SegmentData> = "SegmentData",
        /// Who worked on it.
        personnel: Vec<PersonnelActual> = "PersonnelActual",
        /// Which equipment it ran on.
        equipment: Vec<EquipmentActual> = "EquipmentActual",
        /// What it took and what it made.
        materials: Vec<MaterialActual> = "MaterialActual",
        /// Steps within it.
        children: Vec<SegmentResponse> = "SegmentResponseChild",
    }

    /// Something that was measured or noted.
    pub struct SegmentData = "OpSegmentDataType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Its values.
        values: Vec<Value> = "Value",
        /// Data within it.
        children: Vec<SegmentData> = "SegmentDataChild",
    }

    /// People that worked on a step.
    pub struct PersonnelActual = "OpPersonnelActualType" {
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

    /// Equipment that a step ran on.
    pub struct EquipmentActual = "OpEquipmentActualType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Equipment of these classes.
        equipment_class_ids: Vec<Identifier> = "EquipmentClassID",
        /// This equipment.
        equipment_ids: Vec<Identifier> = "EquipmentID",
        /// For people.
        description: Vec<Text> = "Description",
        /// What for.
        equipment_use: Option<Code> = "EquipmentUse",
        /// How much of it, or how long.
        quantities: Vec<Quantity> = "Quantity",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
    }

    /// Material that a step took or made.
    pub struct MaterialActual = "OpMaterialActualType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Of these classes.
        material_class_ids: Vec<Identifier> = "MaterialClassID",
        /// Of these materials.
        material_definition_ids: Vec<Identifier> = "MaterialDefinitionID",
        /// Of these lots.
        material_lot_ids: Vec<Identifier> = "MaterialLotID",
        /// Of these parts of lots.
        material_sub_lot_ids: Vec<Identifier> = "MaterialSubLotID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Whether it was taken or made.
        material_use: Option<MaterialUse> = "MaterialUse",
        /// Where it is kept.
        storage_location: Option<Location> = "StorageLocation",
        /// How much.
        quantities: Vec<Quantity> = "Quantity",
        /// What it was put together of.
        assembly: Vec<MaterialActual> = "AssemblyActual",
        /// Whether those are joined.
        assembly_type: Option<AssemblyType> = "AssemblyType",
        /// Whether they are to be taken apart again.
        assembly_relationship: Option<AssemblyRelationship> = "AssemblyRelationship",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
    }
}

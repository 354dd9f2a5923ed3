//! How something is made: segments, what each takes and makes, how long it lasts (`B2MML-OperationsDefinition.xsd`).

use crate::code::{AssemblyRelationship, AssemblyType, DefinitionType, MaterialUse, OperationsType};
use crate::content::One;
use crate::time::{DateTime, Duration};
use crate::value::{HierarchyScope, Location, Parameter, Quantity};
use crate::word::{Code, Identifier, Text};

sequence! {
    /// How something is made.
    pub struct OperationsDefinition = "OperationsDefinitionType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// From when on it holds.
        effective_start_date: Option<DateTime> = "EffectiveStartDate",
        /// Until when it holds.
        effective_end_date: Option<DateTime> = "EffectiveEndDate",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Its category.
        operations_type: Option<OperationsType> = "OperationsType",
        /// Whether it is a template.
        definition_type: Option<DefinitionType> = "DefinitionType",
        /// Its steps.
        segments: Vec<OperationsSegment> = "OperationsSegment",
        /// The ERP's bills of materials.
        bill_of_materials_ids: Vec<Identifier> = "BillOfMaterialsID",
        /// The bills of materials as the plant has them.
        operations_material_bill_ids: Vec<Identifier> = "OperationsMaterialBillID",
    }

    /// A step of a definition.
    pub struct OperationsSegment = "OperationsSegmentType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// From when on it holds.
        effective_start_date: Option<DateTime> = "EffectiveStartDate",
        /// Until when it holds.
        effective_end_date: Option<DateTime> = "EffectiveEndDate",
        /// Its category.
        operations_type: Option<OperationsType> = "OperationsType",
        /// Whether it is a template.
        definition_type: Option<DefinitionType> = "DefinitionType",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// How long it takes.
        duration: Option<Duration> = "Duration",
        /// The process segments that it uses.
        process_segment_ids: Vec<Identifier> = "ProcessSegmentID",
        /// What it is run with.
        parameters: Vec<Parameter> = "ParameterSpecification",
        /// Who is needed.
        personnel: Vec<PersonnelSpecification> = "PersonnelSpecification",
        /// Which equipment is needed.
        equipment: Vec<EquipmentSpecification> = "EquipmentSpecification",
        /// What it takes and what it makes.
        materials: Vec<MaterialSpecification> = "MaterialSpecification",
        /// Steps within it.
        children: Vec<OperationsSegment> = "OperationsSegmentChild",
    }

    /// People that a step needs.
    pub struct PersonnelSpecification = "OpPersonnelSpecificationType" {
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
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// How many, or how long.
        quantities: Vec<Quantity> = "Quantity",
    }

    /// Equipment that a step needs.
    pub struct EquipmentSpecification = "OpEquipmentSpecificationType" {
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
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// How much of it, or how long.
        quantities: Vec<Quantity> = "Quantity",
    }

    /// Material that a step takes or makes: a line of the bill of materials.
    pub struct MaterialSpecification = "OpMaterialSpecificationType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Material of these classes.
        material_class_ids: Vec<Identifier> = "MaterialClassID",
        /// These materials.
        material_definition_ids: Vec<Identifier> = "MaterialDefinitionID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Whether it is taken or made.
        material_use: Option<MaterialUse> = "MaterialUse",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// Where it is kept.
        storage_location: Option<Location> = "StorageLocation",
        /// How much.
        quantities: Vec<Quantity> = "Quantity",
        /// What it is put together of.
        assembly: Vec<MaterialSpecification> = "AssemblySpecification",
        /// Whether those are joined.
        assembly_type: Option<AssemblyType> = "AssemblyType",
        /// Whether they are to be taken apart again.
        assembly_relationship: Option<AssemblyRelationship> = "AssemblyRelationship",
    }
}

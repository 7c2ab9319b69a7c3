"""What is there: queries, containers and what is known of images."""

import omero
import omero_api_IContainer_ice  # noqa: F401
import omero_api_IMetadata_ice  # noqa: F401
import omero_api_IQuery_ice  # noqa: F401

from ..dispatch import NULL, Service, refusal, serves
from ..queries import Question


@serves(omero.api.IQuery)
class Query(Service):
    def projection(self, query, parameters, current):
        return self.ask(query, parameters, current)

    def findAllByQuery(self, query, parameters, current):
        return self.ask(query, parameters, current)

    def findByQuery(self, query, parameters, current):
        found = self.ask(query, parameters, current)
        return found[0] if found else NULL

    def get(self, kind, number, current):
        found = self.find(kind, number, current)
        if found is NULL:
            text = f"No row with the given identifier exists: {kind}#{number}"
            raise omero.ValidationException(None, "stand-in", text)
        return found

    def find(self, kind, number, current):
        """By class name, with or without the I that Python's own have."""
        query = f"select obj from {kind[:-1] if kind.endswith('I') else kind} obj where obj.id in (:ids)"
        return self.findByQuery(query, omero.sys.ParametersI().addIds([number]), current)

    def findAllByFullText(self, kind, text, parameters, current):
        return []

    def ask(self, query, parameters, current):
        return Question(self.server, self.session, query, parameters, current.ctx).answer()


@serves(omero.api.IContainer)
class Container(Service):
    def getImages(self, kind, numbers, parameters, current):
        question = Question(self.server, self.session, "getImages", parameters, current.ctx)
        if kind.rpartition(".")[2] == "Image":
            images = [image for image in question.visible("Image") if image.id in numbers]
        else:
            containers = [entry for entry in question.visible(kind.rpartition(".")[2]) if entry.id in numbers]
            images = [image for container in containers for image in self.world.children(container)]
        return [self.objects.image(image, with_pixels=True) for image in images]

    def getCollectionCount(self, kind, collection, numbers, parameters, current):
        return {number: 0 for number in numbers}

    def getImagesBySplitFilesets(self, included, options, current):
        """None: each image has a fileset of its own."""
        return {}

    def loadContainerHierarchy(self, kind, numbers, parameters, current):
        kind = kind.rpartition(".")[2]
        if kind not in ("Project", "Dataset"):
            return []
        question = Question(self.server, self.session, "loadContainerHierarchy", parameters, current.ctx)
        return [self.objects.make(entry) for entry in question.visible(kind) if not numbers or entry.id in numbers]


@serves(omero.api.IMetadata)
class Metadata(Service):
    def loadChannelAcquisitionData(self, numbers, current):
        channels = [(self.world.images.get(number // 100), number % 100) for number in numbers]
        return [self.objects.logical_channel(image, number) for image, number in channels if image]

    def loadAnnotations(self, kind, numbers, annotation_types, annotators, parameters, current):
        kind = kind.rpartition(".")[2]
        found = {number: [] for number in numbers}
        if kind == "Image":
            for number in numbers:
                if image := self.world.images.get(number):
                    found[number] = [self.objects.tagannotation(tag) for tag in self.world.tags_of(image)]
        return found

    def loadSpecifiedAnnotations(self, kind, include, exclude, parameters, current):
        if not kind.endswith("TagAnnotation"):
            return []
        return [self.objects.tagannotation(tag) for tag in self.world.tags.values()]

    def countSpecifiedAnnotations(self, kind, include, exclude, parameters, current):
        return len(self.loadSpecifiedAnnotations(kind, include, exclude, parameters, current))

    def loadAnnotation(self, numbers, current):
        return [self.objects.tagannotation(tag) for tag in self.world.tags.values() if tag.id in numbers]

    def loadInstrument(self, number, current):
        raise refusal("The stand-in has no instruments")

    def getTaggedObjectsCount(self, numbers, parameters, current):
        return {number: sum(tag == number for _, tag in self.world.tags_on) for number in numbers}
